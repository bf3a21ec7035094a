"""The delivery as it lies in the landing zone: its files, manifest and neighbours."""
