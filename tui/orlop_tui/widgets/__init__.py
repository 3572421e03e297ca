"""What screens are made of. All text from a store is made safe in `lines` before it is drawn."""
