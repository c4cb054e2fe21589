"""`step-node top`: nodes are asked (`asking`) for readings (`readings`), which become rows (`rows`) on a screen."""
