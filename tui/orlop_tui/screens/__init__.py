"""The browser and its dialogs."""
