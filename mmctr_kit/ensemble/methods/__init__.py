"""The blend methods, one file each."""
