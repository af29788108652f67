"""Slurm: arrays submitted through submitit, watched with one squeue and one sacct, tried again by cause.

    labels       how a run's jobs are told from all others
    client       Slurm's programs, called with patience
    queue        what squeue and sacct say of a run's jobs
    ledger       which submissions were made, by whichever process
    script       what one sbatch is given
    submission   one sbatch, so that a kill at any moment neither loses nor doubles a job
    states       where every shard stands: store, ledger and queue together
    recall       what ledger and journal alone tell, for people, while Slurm does not answer
    retry        which failures are tried again, and with what
    choice       which shards a submit queues now
    submitter    turns that choice into arrays
    run          submit, look, cancel: what the command line and the supervisor call
    kept_profile the profile of the run, for the supervisor
    supervisor   the job in the cluster that submits again what failed

Nothing here runs a shard: that is `runtime.node`, on the node. Nothing here keeps state in memory between calls, so
that any process on any login node can submit, look and cancel.
"""

from __future__ import annotations
