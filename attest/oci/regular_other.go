//go:build !unix

package oci

const openFlags = 0
