"""What released versions left in clusters: see ``cases``."""
