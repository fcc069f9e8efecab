"""Where the fold models of a run, and the trials of a study, are computed: executors.

``local``  in this process, or in worker processes of this machine
``ray``    on the nodes of a Ray cluster
``slurm``  as jobs of a SLURM cluster

The unit is a job: a recipe on a data set, one fold, one seed. A worker makes its preparations once
and then fits one job after another. What comes out of a job is its fold folder, finished, and that
is all that is read of it: a run does not tell where its jobs were fitted.
"""
