package integration

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// publication is a publisher at work.
type publication struct {
	*process
	// packets returns what was published, or is going to be.
	packets func() packetList
	partial bool // it ends before the last of the packets
	shift   int  // ms that the publisher adds to the timestamps
}

// publishers begin to publish media to a URL.
var publishers = map[string]func(t *testing.T, av source, url string) publication{
	"ffmpeg": func(t *testing.T, av source, url string) publication {
		return publication{process: publishFile(t, av, url), packets: av.list}
	},
	// Beyond 4.66 hours RTMP timestamps need their extended form.
	"extended timestamps": func(t *testing.T, av source, url string) publication {
		const offset = 17000
		p := publishFile(t, av, url, "-copyts", "-output_ts_offset", fmt.Sprint(offset))
		return publication{process: p, packets: av.list, shift: offset * 1000}
	},
	"gstreamer":  publishWithGStreamer,
	"nginx-rtmp": publishThroughNginx,
	"natscast": func(t *testing.T, av source, url string) publication {
		p := start(t, binary(), "publish", "--duration", fmt.Sprintf("%ds", sourceSeconds-2), av.path, url)
		return publication{process: p, packets: av.list, partial: true}
	},
}

func (s source) list() packetList { return s.packets }

func publishWithGStreamer(t *testing.T, av source, url string) publication {
	return publishToSink(t, av, "location="+url)
}

// publishToSink publishes with GStreamer's rtmp2sink. It muxes anew, so it records what it
// publishes.
func publishToSink(t *testing.T, av source, properties ...string) publication {
	need(t, "gst-launch-1.0")
	published := filepath.Join(t.TempDir(), "published.flv")
	args := []string{"--quiet", "filesrc", "location=" + av.path, "!", "flvdemux", "name=d",
		"flvmux", "name=m", "streamable=true", "!", "tee", "name=t",
		"t.", "!", "queue", "!", "filesink", "sync=false", "location=" + published,
		"d.video", "!", "queue", "!", "h264parse", "!", "m.video",
		"d.audio", "!", "queue", "!", "aacparse", "!", "m.audio",
		"t.", "!", "queue", "!", "rtmp2sink", "sync=true"}
	p := start(t, "gst-launch-1.0", append(args, properties...)...)
	return publication{process: p, packets: func() packetList { return probePackets(t, published) }}
}

// publishThroughNginx publishes to nginx, which pushes it on.
func publishThroughNginx(t *testing.T, av source, url string) publication {
	need(t, "nginx")
	port := freePort(t)
	dir := t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	app, stream := filepath.Split(url)
	writeFile(t, conf, fmt.Sprintf(`
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr warn;
events {}
rtmp { server { listen 127.0.0.1:%[2]d; application live { live on; push %[3]s; } } }
`, dir, port, app[:len(app)-1]))
	nginx := start(t, "nginx", "-p", dir, "-e", "stderr", "-c", conf)
	eventually(t, patience, "nginx listens", func() bool { return nginx.running() && listens(port) })
	p := publishFile(t, av, fmt.Sprintf("rtmp://127.0.0.1:%d/live/%s", port, stream))
	return publication{process: p, packets: av.list}
}

// What each publisher has published is what a player on another node gets.
func TestPublishers(t *testing.T) {
	t.Parallel()
	av := mediaFile(t, "av")
	c := startCluster(t)
	for name, publish := range publishers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := streamName(name)
			p := publish(t, av, c.origin.url(url))
			awaitStream(t, c.origin.url(url))
			r := players["ffmpeg"].record(t, c.edge.url(url))
			p.succeed(patience)
			r.check(p.packets(), run{atLeast: 25 * sourceSeconds / 2, shift: p.shift, toEnd: !p.partial})
		})
	}
}

// Streams of one kind of media alone.
func TestKindsOfMedia(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	for _, kind := range []string{"audio", "video"} {
		for _, name := range []string{"ffmpeg", "rtmpdump", "rtmp2src"} {
			t.Run(kind+" to "+name, func(t *testing.T) {
				t.Parallel()
				need(t, players[name].tool)
				media := mediaFile(t, kind)
				stream := kind + "-" + name
				p := publishFile(t, media, c.origin.url(stream))
				awaitStream(t, c.origin.url(stream))
				r := players[name].record(t, c.edge.url(stream))
				p.succeed(patience)
				r.check(media.packets, run{atLeast: 25 * sourceSeconds / 2, toEnd: true})
			})
		}
	}
}

// The test pattern tells of each missing frame.
func TestPattern(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	const published = 8 * time.Second
	p := start(t, binary(), "publish", "--duration", published.String(), c.origin.url("pattern"))
	awaitStream(t, c.origin.url("pattern"))
	r := playJSON(t, "--duration", "1m", c.edge.url("pattern"))
	p.succeed(patience)
	if r.Gaps != 0 || r.Failed != 0 || r.Ended != 1 || r.VideoFrames < 25*4 || r.AudioFrames < 46*4 {
		t.Errorf("%+v", r)
	}
}
