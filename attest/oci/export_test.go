package oci

// SetLimit lowers how many attestations of one artifact r lists.
func SetLimit(r *Repository, n int) { r.limit = n }

// LiesReady returns how many bytes were looked up and not asked for yet.
func (v *View) LiesReady() int64 {
	v.ahead.mu.Lock()
	defer v.ahead.mu.Unlock()
	return v.ahead.bytes
}
