import { mount } from "svelte";
import App from "./App.svelte";
import "./app.css";
import { route } from "./route.svelte";
import { server } from "./server.svelte";

route.read(location.hash);
void server.start();
mount(App, { target: document.body });
