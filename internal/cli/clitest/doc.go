// Package clitest runs commands in tests, on a cluster of members of which there is
// nothing but the state.
package clitest
