"""Where images come from: bundled, TFDS, folder, npz; each an `ImageSource`."""
