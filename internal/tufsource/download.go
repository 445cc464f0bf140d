package tufsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// errAbsent: the repository says that there is no such file.
var errAbsent = errors.New("the repository does not have it")

// download gets one file of at most so many bytes. The name is already escaped. What
// comes back is as untrusted as the network.
func download(ctx context.Context, client *http.Client, base, name string, most int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/"+name, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	res, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // it repeats method and URL
			err = u.Err
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", name, errAbsent)
	default:
		return nil, fmt.Errorf("%s: status %d", name, res.StatusCode)
	}
	// One byte past the limit tells "exactly full" from "cut short".
	b, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case int64(len(b)) > most:
		return nil, fmt.Errorf("%s: longer than %d bytes", name, most)
	}
	return b, nil
}
