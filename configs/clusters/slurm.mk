# Slurm: every worker is a job step, on whichever node has room. Copy this file, name your partitions, and run
#     make -j8 CLUSTER=mine package-bundled SHARDS=8
# on a login node, or `salloc -N4 make -j8 ...` to hold nodes for the whole build.

ifeq ($(shell command -v srun),)
  $(error CLUSTER=$(CLUSTER) needs srun, which is not on PATH: run make on a node of the cluster, or unset CLUSTER)
endif

PARTITION     ?=
GPU_PARTITION ?= $(PARTITION)

# Within an allocation, steps wait for cores instead of sharing them.
srun = srun --quiet --nodes=1 --ntasks=1 $(if $(SLURM_JOB_ID),--exact)
cpu  = $(srun) $(if $(PARTITION),--partition=$(PARTITION))
gpu  = $(srun) $(if $(GPU_PARTITION),--partition=$(GPU_PARTITION)) --gpus=1

# By kind of work: all, a family, one worker. Memory is for a model of 0.6B parameters.
LAUNCH             = $(cpu) --cpus-per-task=2 --mem=8G
LAUNCH.checkpoint  = $(cpu) --cpus-per-task=1 --mem=4G
LAUNCH.pte         = $(cpu) --cpus-per-task=2 --mem=16G
LAUNCH.quantize    = $(cpu) --cpus-per-task=2 --mem=12G
LAUNCH.trt         = $(gpu) --cpus-per-task=4 --mem=24G

# Speech is trained on so many nodes at once, by as many tasks on each, of these GPUs, cores and this memory.
TRAIN_NODES  ?= 1
TRAIN_TASKS  ?= 1
TRAIN_GPUS   ?= 1
TRAIN_CORES  ?= 8
TRAIN_MEMORY ?= 32G
LAUNCH.speech/train = srun --quiet --kill-on-bad-exit=1 --nodes=$(TRAIN_NODES) --ntasks-per-node=$(TRAIN_TASKS) \
    $(if $(GPU_PARTITION),--partition=$(GPU_PARTITION)) $(if $(TRAIN_GPUS),--gpus-per-task=$(TRAIN_GPUS)) \
    --cpus-per-task=$(TRAIN_CORES) --mem=$(TRAIN_MEMORY)
LAUNCH.swipe/train  = $(gpu) --cpus-per-task=8 --mem=32G
