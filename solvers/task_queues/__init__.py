"""Tasks that queue at devices which live on batteries."""
