package bucket

import "testing"

func FuzzDecodeLatest(f *testing.F) {
	f.Add([]byte(`{"message":{"subject":"$KV.streams.live.a","seq":7,"data":"e30="}}`))
	f.Add([]byte(`{"error":{"code":404,"err_code":10037,"description":"no message found"}}`))
	f.Add([]byte(`{"error":{"code":503,"err_code":10008}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if value, _, err := decodeLatest(answer); err != nil && value != nil {
			t.Fatalf("%q with %v", value, err)
		}
	})
}
