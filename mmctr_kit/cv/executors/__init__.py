"""Where the fold models of a run, and the trials of a study, are computed: executors.

``local``  in this process, or in worker processes of this machine
``ray``    on the nodes of a Ray cluster
``slurm``  as jobs of a SLURM cluster

The unit is a job: a recipe on a data set, one fold, one seed. A worker makes its preparations once
and then fits one job after another (a job of SLURM fits one). What comes out of a job is its fold
folder, finished, and nothing else is read of it: a run does not tell where its jobs were fitted,
and goes on anywhere where Python, torch, NumPy, the device and the threads are the same.

What a hundred machines need:

- *What travels.* To a worker the recipe, digests of the data's files, and a path. The files
  themselves only to a machine that does not have them under that path, once, through Ray's object
  store into the machine's cache. Back one line an epoch; without a shared disk also the fold folder
  with the training state, which holds the weights and what the optimizer keeps of each.
- *What is written.* Each fold folder by one worker alone; what the whole run says by the command,
  once all are there. Nothing is appended to by two writers but a study's storage.
- *What fails first.* The command's own machine: it assembles the run and, without a shared disk,
  takes in every epoch's folders. Workers that die cost the epoch they were in, and their jobs go to
  others; if only workers end and no job does, the command gives up. A dead head ends the command,
  and the next one goes on. Jobs of SLURM outlive their command, and the next one takes them over.
- *Where more machines don't help.* A run has folds x seeds jobs, and the longest is the end. Use
  the machines for seeds, members and trials: several commands at once, or ``tune``.

``tests/studies/executor_load.py`` measures what a job costs beside its work.
"""
