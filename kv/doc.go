// Package kv keeps the cluster's shared state in JetStream key-value buckets,
// as readable JSON.
package kv
