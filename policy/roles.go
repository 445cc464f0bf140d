package policy

import (
	"fmt"
	"slices"
	"strings"
)

// filled reports whether principals can fill all places, each at most one. It
// looks for a matching (augmenting paths): the obvious way, first come first
// served, puts somebody with two roles where somebody else would have done.
func filled(places []place, who []*principal, rolesOf func(*principal) []string) bool {
	var seats []string
	for _, p := range places {
		for range p.n {
			seats = append(seats, p.role)
		}
	}
	if len(seats) > len(who) {
		return false
	}
	taken := make([]int, len(who)) // the seat of each principal, plus one
	var seat func(i int, tried []bool) bool
	seat = func(i int, tried []bool) bool {
		for j, p := range who {
			if tried[j] || !slices.Contains(rolesOf(p), seats[i]) {
				continue
			}
			tried[j] = true
			if taken[j] == 0 || seat(taken[j]-1, tried) {
				taken[j] = i + 1
				return true
			}
		}
		return false
	}
	for i := range seats {
		if !seat(i, make([]bool, len(who))) {
			return false
		}
	}
	return true
}

func placesText(places []place) string {
	var parts []string
	for _, p := range places {
		parts = append(parts, fmt.Sprintf("%d %s", p.n, p.role))
	}
	return strings.Join(parts, ", ")
}

// rolesOf returns the roles in which a principal's candidates of at least the
// given status count: those that the policy gives the principal, and of an
// approval that says in which role it is given, only that one.
func rolesOf(cs []*candidate, least Status) func(*principal) []string {
	return func(p *principal) []string {
		var out []string
		for _, c := range cs {
			if c.principal != p || c.status() < least {
				continue
			}
			if c.facts.Role == "" {
				return p.roles
			}
			if slices.Contains(p.roles, c.facts.Role) && !slices.Contains(out, c.facts.Role) {
				out = append(out, c.facts.Role)
			}
		}
		return out
	}
}
