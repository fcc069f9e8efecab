"""mmctr-kit: from the MMCTR challenge's parquet files to a checked, blended submission."""

__version__ = "0.1.0"
