"""Does the released model say here what was published of it?

    goldens     published ids, scores and boxes: `kosmos-2.json`, or a file of the same form
    picture     the picture that they are of, as transformers' test reads it
    report      what was compared, and the verdict
    checks      one comparison each
    run         all of them, at fp32 and at another precision

For whoever has the weights: no machine of this project has seen them.
"""
