"""Files that compute: bases, adapters, the sentence encoder, the consistency model."""
