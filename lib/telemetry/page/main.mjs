import { View } from './view.mjs';

new View(window).start();
