"""Write what ships in data/: texts, tokenizers, a small model.  From a clone alone; the wheel leaves this out."""
