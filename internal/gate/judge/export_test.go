package judge

import "time"

// SetElapsed replaces the machine's own clock.
func (e *Engine) SetElapsed(f func() time.Duration) { e.elapsed = f }

// OnLook has f called at the beginning of every flight.
func (e *Engine) OnLook(f func()) { e.testOnlyLook = f }
