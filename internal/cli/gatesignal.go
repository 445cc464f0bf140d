package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// hangups hears of SIGHUP as long as the gate runs: to it the signal means "load again",
// as to other servers, and to every other command that the terminal is gone. done ends
// the hearing.
func hangups(ctx context.Context) (again <-chan struct{}, done func()) {
	signals, out := make(chan os.Signal, 1), make(chan struct{}, 1)
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
				select {
				case out <- struct{}{}:
				default: // one is waiting already
				}
			}
		}
	}()
	return out, func() { signal.Stop(signals) }
}
