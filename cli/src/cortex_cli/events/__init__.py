"""`cortex events`: what lies on the bus, who is behind, what died there, and a second try."""
