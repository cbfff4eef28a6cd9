"""Whether what is stored can be trusted: verification, backup and restore, taking back."""
