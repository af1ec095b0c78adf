"""The dataset browser: what is known of datasets, as pages. The server shows them live, `build_portal` writes them."""
