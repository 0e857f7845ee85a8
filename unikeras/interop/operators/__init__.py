"""What torch's operators compute, in Keras' operations: one rule for each, in torch's own arguments.

A rule takes what the operator takes, by position and by keyword, as tensors of Keras, numbers, lists and None,
and returns tensors. A size of a dynamic axis is an int or a scalar tensor. The dtype of a result is torch's: who
runs a program casts it.

    rules     names, and the rule of each
    arrays    shapes, slices and dtypes, whose sizes may be dynamic
"""
