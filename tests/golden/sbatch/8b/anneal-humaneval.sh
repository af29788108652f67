#!/bin/bash
#SBATCH --job-name=opencoder-8b.anneal-humaneval
#SBATCH --partition=cpu
#SBATCH --account=lab
#SBATCH --time=120
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=65536M
#SBATCH --gpus-per-node=1
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --mail-type=FAIL
set -eo pipefail
export OMP_NUM_THREADS=8 NUMBA_NUM_THREADS=8 RAYON_NUM_THREADS=8
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
module load cuda
export OMP_NUM_THREADS=1
/opt/ocspec/bin/python -m runtime.worker plan.json anneal/humaneval "${SLURM_ARRAY_TASK_ID:-0}" --store "${OCSPEC_STORE:?}"
