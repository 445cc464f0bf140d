package index

// Stepping returns options that make f hear of every point at which a process that
// writes could be killed, and of more of them, as its batches are small.
func (o Options) Stepping(f func(point string)) Options {
	o.testOnlyStep = f
	o.testOnlyBatch = 3
	return o
}
