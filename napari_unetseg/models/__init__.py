"""Networks, their cards and what turns a block of voxels into a prediction."""
