"""Whether what is stored can be trusted: taints, verification, backups."""
