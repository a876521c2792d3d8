package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// startRTMPSCluster starts a cluster that takes RTMPS too, with a certificate of this authority.
func startRTMPSCluster(t *testing.T) (*cluster, *authority) {
	t.Helper()
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	cert, key := ca.issue(t, dir, "server")
	return startCluster(t, "--rtmps", "127.0.0.1:0", "--rtmps-cert", cert, "--rtmps-key", key), ca
}

// rtmpsURL is that of a stream at the node's RTMPS listener.
func (n *node) rtmpsURL(stream string) string {
	n.t.Helper()
	b, err := os.ReadFile(n.readyFile)
	if err != nil {
		n.t.Fatal(err)
	}
	var ready struct{ Nodes []struct{ RTMPS string } }
	if err := json.Unmarshal(b, &ready); err != nil || ready.Nodes[0].RTMPS == "" {
		n.t.Fatalf("%s: %q: %v", n.readyFile, b, err)
	}
	return "rtmps://" + ready.Nodes[0].RTMPS + "/live/" + stream
}

// secure are the clients that speak RTMPS; they do not ask who signed the certificate.
var secure = map[string]struct {
	publish func(t *testing.T, av source, url string) publication
	player  player
}{
	"ffmpeg": {publishers["ffmpeg"], players["ffmpeg"]},
	"gstreamer": {
		func(t *testing.T, av source, url string) publication {
			return publishToSink(t, av, "tls-validation-flags=0", "location="+url)
		},
		player{mayLose: 1, tool: "gst-launch-1.0", args: func(url, file string) []string {
			return []string{"--quiet", "rtmp2src", "tls-validation-flags=0", "location=" + url, "!", "filesink", "buffer-mode=unbuffered", "location=" + file}
		}},
	},
}

// What clients publish with TLS is what others play with TLS, as the first ones on their edge
// and later.
func TestRTMPS(t *testing.T) {
	t.Parallel()
	av := mediaFile(t, "av")
	c, _ := startRTMPSCluster(t)
	for name, client := range secure {
		t.Run("published by "+name, func(t *testing.T) {
			t.Parallel()
			p := client.publish(t, av, c.origin.rtmpsURL(name))
			awaitStream(t, c.origin.url(name))
			var recordings []*recording
			for _, client := range secure {
				need(t, client.player.tool)
				r := client.player.record(t, c.edge.rtmpsURL(name))
				r.awaitMedia()
				recordings = append(recordings, r)
			}
			p.succeed(patience)
			for _, r := range recordings {
				r.check(p.packets(), run{atLeast: 25 * sourceSeconds / 2, toEnd: true})
			}
		})
	}
}

// natscast play trusts whom the system trusts.
func TestPlayRTMPS(t *testing.T) {
	t.Parallel()
	c, ca := startRTMPSCluster(t)
	start(t, binary(), "publish", c.origin.url("a"))
	awaitStream(t, c.origin.url("a"))
	cmd := exec.Command(binary(), "play", "--json", "--players", "3", "--duration", "3s", c.edge.rtmpsURL("a"))
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+ca.file)
	p := launch(t, cmd)
	defer p.kill()
	p.succeed(patience)
	if r := readReport(t, p); r.Failed != 0 || r.Gaps != 0 || r.VideoFrames < 3*25 {
		t.Errorf("%+v", r)
	}
	stranger := runToEnd(t, "play", "--duration", "3s", c.edge.rtmpsURL("a"))
	if stranger.status != 1 || !isOneLine(stranger.stderr) {
		t.Errorf("without the authority: %+v", stranger)
	}
}
