// Every execution counts: no other losses are scaled than those of f16 runs.
fn skipped() -> bool {
    return false;
}
