package oci

// SetLimit lowers how many attestations of one artifact r lists.
func SetLimit(r *Repository, n int) { r.limit = n }
