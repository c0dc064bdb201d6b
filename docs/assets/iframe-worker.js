// A page that was opened from the disk may start no Worker. There a worker is a hidden frame, so that the search works, too.
// mkdocs-material asks for window.IFrameWorker; its own shim would be fetched from a CDN.
if (location.protocol === "file:")
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.documentElement.append(frame);
      const page = frame.contentDocument;
      page.open();
      const inside = (this.inside = frame.contentWindow);
      const load = (source) =>
        new Promise((done) => {
          const script = Object.assign(page.createElement("script"), { src: source, onload: done });
          page.head.append(script);
        });
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      inside.importScripts = (...sources) => sources.reduce((before, one) => before.then(() => load(one)), Promise.resolve());
      page.write("<!doctype html><html><head></head><body></body></html>");
      page.close();
      this.ready = load(new URL(url, location.href).href);
    }

    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })));
    }
  };
