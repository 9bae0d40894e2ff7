"""Drawing of layered scenes: layers, disparity planes, lens and observed silhouettes."""
