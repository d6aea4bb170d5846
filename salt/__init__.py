"""The subject's own pure code: tiles, masks, folds, training, blending, mosaics."""
