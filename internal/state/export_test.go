package state

// SetStep makes f hear of every point at which a process that writes could be
// killed.
func (d *Dir) SetStep(f func(point string)) { d.testOnlyStep = f }
