package config

import (
	"strings"
	"testing"
)

const hostileBase = `apiVersion: pedigree-ml.github.io/v1
kind: Gate
metadata: {name: g}
listen: {address: 127.0.0.1:0}
state: s
registry: {repositories: ["r.test/**"]}
policies: [{name: p, policy: p.yaml}]
`

// Conditions that look like some and hold always.
func TestExemptionsOfEverybody(t *testing.T) {
	for _, condition := range []string{
		`namespaces: ["*"]`, `namespaces: ["**"]`, `namespaces: ["a", "***"]`,
		`groups: ["system:authenticated"]`, `namespaces: ["**"], groups: ["system:authenticated"]`,
		`groups: ["system:authenticated", "system:unauthenticated"]`,
	} {
		_, err := Load([]byte(hostileBase + `rules: [{name: r, namespaces: ["*"], artifacts: [{repositories: ["r.test/**"], policy: p}]}]
exempt: [{` + condition + `, reason: because}]
`))
		if err == nil || !strings.Contains(err.Error(), "exempts everything") {
			t.Errorf("%s: %v", condition, err)
		}
	}
}

// A pattern has one wildcard, at its end: what has more matches nothing.
func TestPatternsOfRepositoriesHaveOneEnd(t *testing.T) {
	for _, p := range []string{"r.test/a/*/**", "r.test/a/**/*", "r.test/*/a", "r.test/**/**", "*/a", "r.*/a/**", "**"} {
		_, err := Load([]byte(strings.Replace(hostileBase, "r.test/**", p, 1)))
		if err == nil || !strings.Contains(err.Error(), "is no pattern") {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// A line takes another one's URIs only if its prefix ends where a part of a path does.
func TestURIsTakenByALineBefore(t *testing.T) {
	for _, tt := range []struct {
		first, second string
		hidden        bool
	}{
		{"s3://acme/", "s3://acme/models/", true},
		{"s3://acme", "s3://acme/models/", true},
		{"s3://acme", "s3://acme", true},
		{"s3://acme", "s3://acme-models/", false},
		{"s3://acme/", "s3://acme", false},
	} {
		_, err := Load([]byte(hostileBase + `rules: [{name: r, namespaces: ["*"], artifacts: [{uris: ["` + tt.first + `"], accept: true, reason: one}, {uris: ["` + tt.second + `"], accept: true, reason: two}]}]
`))
		if (err != nil && strings.Contains(err.Error(), "a line before takes it")) != tt.hidden || err != nil && !tt.hidden {
			t.Errorf("%s before %s: %v", tt.first, tt.second, err)
		}
	}
}
