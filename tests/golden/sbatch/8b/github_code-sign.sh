#!/bin/bash
#SBATCH --job-name=opencoder-8b.github_code-sign
#SBATCH --partition=cpu
#SBATCH --account=lab
#SBATCH --time=120
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=8000M
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --array=0-4095%50
#SBATCH --mail-type=FAIL
set -eo pipefail
export OMP_NUM_THREADS=4 NUMBA_NUM_THREADS=4 RAYON_NUM_THREADS=4
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
module load cuda
export OMP_NUM_THREADS=1
/opt/ocspec/bin/python -m runtime.worker plan.json github_code/sign "${SLURM_ARRAY_TASK_ID:-0}" --store "${OCSPEC_STORE:?}"
