package reload

import (
	"log/slog"

	"github.com/fsnotify/fsnotify"
)

// maxFolders bounds what is watched: a few files lie in a few folders. What is beyond is
// looked at once a minute.
const maxFolders = 64

// A watcher hears of what happens in folders. Its nil hears nothing.
type watcher struct {
	notify   *fsnotify.Watcher
	followed map[string]bool
	happened chan struct{} // holds one: that something happened
}

// watch makes a watcher. Where the system cannot tell, it hears nothing and the files are
// looked at once a minute.
func watch(log *slog.Logger) *watcher {
	n, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("changes of files are noticed only once a minute", "error", err.Error())
		return nil
	}
	w := &watcher{notify: n, followed: map[string]bool{}, happened: make(chan struct{}, 1)}
	go w.listen()
	return w
}

// listen turns any number of events, and a queue of them that ran over, into one.
func (w *watcher) listen() {
	errs := w.notify.Errors
	for {
		select {
		case e, ok := <-w.notify.Events:
			if !ok {
				return
			}
			if e.Op == fsnotify.Chmod {
				continue // reading changes it on some systems, and never what a file holds
			}
		case _, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
		}
		select {
		case w.happened <- struct{}{}:
		default:
		}
	}
}

func (w *watcher) events() <-chan struct{} {
	if w == nil {
		return nil
	}
	return w.happened
}

// follow watches these folders and no others, and reports whether one of them was not
// watched before. A folder that is not there is tried again next time; so is one that
// was removed and made again, which ended its watch.
func (w *watcher) follow(folders map[string]bool) (more bool) {
	if w == nil {
		return false
	}
	for f := range w.followed {
		if !folders[f] {
			_ = w.notify.Remove(f) // it may be gone, and is not asked for any more
			delete(w.followed, f)
		}
	}
	for f := range folders {
		if len(w.followed) >= maxFolders && !w.followed[f] {
			continue
		}
		if w.notify.Add(f) != nil {
			delete(w.followed, f)
			continue
		}
		more = more || !w.followed[f]
		w.followed[f] = true
	}
	return more
}

func (w *watcher) close() {
	if w != nil {
		w.notify.Close()
	}
}
