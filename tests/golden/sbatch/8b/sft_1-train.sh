#!/bin/bash
#SBATCH --job-name=opencoder-8b.sft_1-train
#SBATCH --partition=gpu
#SBATCH --account=lab
#SBATCH --time=2880
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --mem=512000M
#SBATCH --gpus-per-node=8
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --mail-type=FAIL
set -eo pipefail
export OMP_NUM_THREADS=8 NUMBA_NUM_THREADS=8 RAYON_NUM_THREADS=8
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
module load cuda
export OMP_NUM_THREADS=1
srun --cpus-per-task=8 --kill-on-bad-exit=1 /opt/ocspec/bin/python -m runtime.worker plan.json sft_1/train "${SLURM_ARRAY_TASK_ID:-0}" --store "${OCSPEC_STORE:?}"
