"""The fast twins of what is written plainly elsewhere, each under the name of its plain form.

    attention, cross_entropy, gated, lstm, rms_norm    gradients written out, for CPUs: layers/ has the equations
    products    float32 products by the library that is faster here: layers/linear.py
    step        the next token of a decoder, compiled: `decode` of the models has the plain form
    packed, int8    linear layers prepared for use without gradients
    trained_rows    an embedding table of which only the rows that occur are trained
    decimals    written numbers to float32: formats/word_vectors.py
    cutting     paragraphs, sentences and pieces of much text, compiled: data/cutting.py
    brown, word2vec, units    compiled loops: objectives/brown.py, objectives/word2vec.py, data/units.py explain them

Everything here gives what its plain form gives, and tests/parity/test_kernels.py holds each pair side by side
(Brown clustering and word2vec: test_brown.py and test_word2vec.py there).
"""

MOST_SIZE = 256
"""Largest attention head of the compiled forms, which have room for it before they know it."""
