"""An ACI image store, as rkt keeps it: images by key, a catalogue of rows and remotes, rendered trees."""
