"""Where records come from: folders, prepared datasets, shards of scenes, and mixtures of them."""
