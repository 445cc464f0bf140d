package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/pedigree-ml/pedigree/attest"
)

// An order is what a load generator is told on its standard input, and a tally what
// it answers: it is a process of its own, so that what it costs is not measured as
// the gate's.
type order struct {
	URL       string            `json:"url"`
	Authority []byte            `json:"authority"` // PEM; nil: plain HTTP
	Bodies    []json.RawMessage `json:"bodies"`    // asked in turn
	Rate      int               `json:"rate"`      // a second; 0: all bodies once, at the same moment
	Seconds   int               `json:"seconds"`
	Workers   uint64            `json:"workers"` // at the beginning; there are more when they are needed
	Bad       []bool            `json:"bad"`     // by body: it must not be allowed

	models []attest.Reference
}

type tally struct {
	Requests  uint64         `json:"requests"`
	Rate      float64        `json:"rate"`
	P50       time.Duration  `json:"p50"`
	P99       time.Duration  `json:"p99"`
	Max       time.Duration  `json:"max"`
	Allowed   uint64         `json:"allowed"`
	Codes     map[string]int `json:"codes"` // of a review, that of its answer; "0": there was none
	Errors    []string       `json:"errors"`
	Forbidden int            `json:"forbidden"` // ALLOW where it must not be one

	each, generator time.Duration // processor time for one request, of the gate and of who asked
}

func (t tally) String() string {
	s := fmt.Sprintf("%d requests, %.0f/s, p50 %s, p99 %s, max %s, processor time each %s (who asks: %s), codes %v, load average %s",
		t.Requests, t.Rate, round(t.P50), round(t.P99), round(t.Max), t.each.Round(time.Microsecond), t.generator.Round(time.Microsecond), t.Codes, loadAverage())
	for _, e := range t.Errors[:min(3, len(t.Errors))] {
		s += fmt.Sprintf("\n    error: %.300q", e)
	}
	return s
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

func serveAttack() error {
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(attack(o))
}

func attack(o order) tally {
	targets := make([]vegeta.Target, len(o.Bodies))
	for i, b := range o.Bodies {
		// The fragment is not sent. It says of an answer what was asked: the numbers that
		// vegeta gives to answers are not in the order in which it takes targets.
		targets[i] = vegeta.Target{Method: http.MethodPost, URL: fmt.Sprintf("%s#%d", o.URL, i), Body: b, Header: http.Header{"Content-Type": {"application/json"}}}
	}
	options := []func(*vegeta.Attacker){vegeta.Workers(o.Workers), vegeta.MaxWorkers(4096), vegeta.Connections(4096), vegeta.MaxConnections(1000),
		vegeta.Timeout(30 * time.Second), vegeta.KeepAlive(true)}
	if o.Authority != nil {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(o.Authority)
		options = append(options, vegeta.TLSConfig(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}), vegeta.HTTP2(true)) // in this order: the second adds to the first
	}
	pace, du := vegeta.Rate{Freq: o.Rate, Per: time.Second}, time.Duration(o.Seconds)*time.Second
	if o.Rate == 0 { // one for each body, as fast as they can be sent
		pace, du = vegeta.Rate{Freq: 100_000, Per: time.Second}, time.Duration(len(targets))*10*time.Microsecond
	}
	var m vegeta.Metrics
	t := tally{Codes: map[string]int{}}
	for r := range vegeta.NewAttacker(options...).Attack(vegeta.NewStaticTargeter(targets...), pace, du, "load") {
		m.Add(r)
		code, allowed := outcome(r)
		t.Codes[fmt.Sprint(code)]++
		if !allowed {
			continue
		}
		t.Allowed++
		if len(o.Bad) > 0 && o.Bad[number(r)] {
			t.Forbidden++
		}
	}
	m.Close()
	t.Requests, t.Rate, t.Errors = m.Requests, m.Rate, m.Errors
	t.P50, t.P99, t.Max = m.Latencies.P50, m.Latencies.P99, m.Latencies.Max
	return t
}

// number returns which body an answer is to.
func number(r *vegeta.Result) int {
	_, fragment, _ := strings.Cut(r.URL, "#")
	n, err := strconv.Atoi(fragment)
	if err != nil {
		panic(err) // unreachable: attack wrote it
	}
	return n
}

// outcome reads an answer. Of a review the status says nothing.
func outcome(r *vegeta.Result) (code int, allowed bool) {
	if r.Code != http.StatusOK || r.Error != "" || !bytes.Contains(r.Body, []byte(`"kind":"AdmissionReview"`)) {
		return int(r.Code), r.Code == http.StatusOK && r.Error == ""
	}
	if bytes.Contains(r.Body, []byte(`"allowed":true`)) { // quicker than to parse it, and the generator's time is the gate's lack
		return http.StatusOK, true
	}
	var review struct {
		Response struct {
			Status struct{ Code int }
		}
	}
	if json.Unmarshal(r.Body, &review) != nil {
		return 0, false
	}
	return review.Response.Status.Code, false
}
