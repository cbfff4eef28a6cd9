"""Models: train MACE, load a model by its digest, apply it in batches, relax with it."""
