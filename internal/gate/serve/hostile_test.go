package serve

import (
	"fmt"
	"strings"
	"testing"
)

// What a proxy, or whoever reads the same bytes, could take for something else.
func TestTwoReadings(t *testing.T) {
	judge, asked := counting(t)
	f := start(t, judge, nil)
	ask := func(path, headers, body string) string {
		return raw(t, f, nil, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: gate\r\nConnection: close\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s", path, headers, len(body), body))
	}
	if got := ask("/v1/verify", "", asking); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Fatalf("the question itself: %q", got)
	}
	for name, c := range map[string]struct{ path, headers, body, want string }{
		"identity":                      {"/v1/verify", "Content-Encoding: identity\r\n", asking, "200"},
		"continue":                      {"/v1/verify", "Expect: 100-continue\r\n", asking, "100"},
		"another expectation":           {"/v1/verify", "Expect: mercy\r\n", asking, "417"},
		"a timeout of an hour":          {"/v1/verify?timeout=1h", "", asking, "200"},
		"GAT-01 said to be compressed":  {"/v1/verify", "Content-Encoding: gzip\r\n", asking, "415"},
		"GAT-01 in two encodings":       {"/v1/verify", "Content-Encoding: identity\r\nContent-Encoding: br\r\n", asking, "415"},
		"GAT-01 in a list of encodings": {"/v1/verify", "Content-Encoding: identity, deflate\r\n", asking, "415"},
		"GAT-01 two types":              {"/v1/verify", "Content-Type: application/json\r\n", asking, "415"},
		"GAT-01 UTF-16":                 {"/v1/verify", "", "\xff\xfe" + asking, "400"},
		"GAT-01 a byte order mark":      {"/v1/verify", "", "\xef\xbb\xbf" + asking, "400"},
		"GAT-01 two documents":          {"/v1/verify", "", asking + asking, "400"},
		"GAT-01 a key in another case":  {"/v1/verify", "", strings.Replace(asking, `{"reference"`, `{"Reference": "x.test/y:1", "reference"`, 1), "400"},
		"an escaped path":               {"/v1/%76erify", "", asking, "404"},
		"an escaped slash":              {"/v1%2fverify", "", asking, "404"},
		"a path with a parameter":       {"/v1/verify;a=b", "", asking, "404"},
		"a dot":                         {"/v1/./verify", "", asking, "404"},
		"an escaped line":               {"/v1/verify%0d%0a", "", asking, "404"},
		"no time":                       {"/v1/verify?timeout=0s", "", asking, "400"},
		"less than no time":             {"/v1/verify?timeout=-1s", "", asking, "400"},
		"a nanosecond":                  {"/v1/verify?timeout=1ns", "", asking, "503"},
		"more than a number":            {"/v1/verify?timeout=99999999999999h", "", asking, "400"},
		"two timeouts":                  {"/v1/verify?timeout=1s&timeout=2s", "", asking, "400"},
	} {
		t.Run(name, func(t *testing.T) {
			asked.Store(0)
			got := ask(c.path, c.headers, c.body)
			if !strings.HasPrefix(got, "HTTP/1.1 "+c.want+" ") {
				t.Errorf("got %q, want %s", got, c.want)
			}
			if good := c.want == "200" || c.want == "100"; good != (asked.Load() > 0) {
				t.Errorf("the judge was asked %d times", asked.Load())
			}
		})
	}
}
