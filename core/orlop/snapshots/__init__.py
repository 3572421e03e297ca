"""The whole analysis of a store as one file, and that file as a store that can only be looked at.

JSON Lines, optionally gzip. The first line says what it is, the last that it is whole;
between them everything that the store door tells: rows, mappings, remote records,
uploads, findings, each image whole, where the bytes are. No layer's content is in it,
and no value that looks secret.
"""
