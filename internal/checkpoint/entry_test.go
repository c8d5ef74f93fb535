package checkpoint

import "testing"

func TestStepOf(t *testing.T) {
	for name, want := range map[string]int64{
		"step-120": 120, "step-00120": 120, "checkpoint-500": 500, "global_step1000": 1000, "epoch=3-step=1200.ckpt": 1200,
		"step-100.pt": 100, "model_7.safetensors": 7, "120": 120, "step-12.v2": 12, "v1.5": 5, "step-3.mp4": 3, "a1b": 1,
		"notes": -1, "latest": -1, "": -1, "x.mp4": 4, "step-99999999999999999999": -1,
	} {
		step, numbered := stepOf(name)
		if !numbered {
			step = -1
		}
		if step != want {
			t.Errorf("%q: %d; want %d", name, step, want)
		}
	}
}

func FuzzManifest(f *testing.F) {
	for _, seed := range []string{`{"name":"step-1","epoch":1,"nodes":1,"files":[{"path":"a","size":1,"sha256":"00"}]}`, `{"files":[{"path":"../a"}]}`, `[`, `{"files":null}`} {
		f.Add("manifests/00000001/step-1/0-of-1.json", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, key string, data []byte) {
		of, ok := parseManifestKey(key)
		if !ok {
			return
		}
		m, err := parseManifest(data, of)
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if file.check(len(m.Files) == 1) != nil || file.Size < 0 {
				t.Errorf("%+v is taken", file)
			}
		}
	})
}
